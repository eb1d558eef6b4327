"""Programs for the people who build this project, run as `python -m scripts.<name>`."""
