"""Every message with which the program refuses, fails or warns, provoked; and the places that make them."""
