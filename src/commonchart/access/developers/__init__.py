"""Developers who register apps themselves: the addresses they prove, the links they come by, what they may do."""
