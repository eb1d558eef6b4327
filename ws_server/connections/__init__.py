"""What holds a client's connection: limits of number, bytes and time below the application."""
