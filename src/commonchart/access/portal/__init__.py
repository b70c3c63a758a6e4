"""The patient's door: who may come in for whom, what they ask for, whom they share with, what is held back."""
