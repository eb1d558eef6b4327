"""What the front end and the workers say to each other, all of it through Redis."""
