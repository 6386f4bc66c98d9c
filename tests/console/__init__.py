"""The console, whose world and process are shared by its tests and gone after them."""
