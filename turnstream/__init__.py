"""The installed package: each room of the source tree under one import name.

The rooms are folders at the top of the tree; here each is a symbolic link, so that a wheel claims
the name `turnstream` and no other. Import `turnstream.turns`, never `turns`: ruff holds that.
"""
