"""How the world talks to us over HTTP."""
