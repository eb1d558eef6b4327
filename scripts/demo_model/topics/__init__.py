"""What the demo model can talk about, one file per topic; all text in them was written for it."""
