"""The live view inside the application: its lifespan and where it reads."""
