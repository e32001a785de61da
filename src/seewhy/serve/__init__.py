"""The HTTP API and the web page: they call explain and render, and hold no maths of their own. See app.py."""
