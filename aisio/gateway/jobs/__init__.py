"""Jobs: work that goes on after the response, and requests about jobs."""
