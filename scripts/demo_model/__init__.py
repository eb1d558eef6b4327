"""The demo model's workshop: its corpus, tokenizer, training and evaluation.

Nothing here is imported by the product, which only reads the folder that this makes.
"""
