"""What answers turns: the only room of the project where torch and transformers are imported."""
