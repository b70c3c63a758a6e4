"""The pages of developers who register apps themselves: public, off unless the site says otherwise."""
