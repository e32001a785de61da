"""Where people use seewhy without writing code: an HTTP API and a web page. They call explain and render only."""
