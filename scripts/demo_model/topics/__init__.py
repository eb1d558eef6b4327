"""The topics of the demo model, one file each; all text was written for this project."""
