"""The service and the studio: painting over HTTP, on one's own machine or on several."""
