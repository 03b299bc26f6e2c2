"""HTTP over jobs and libraries: `create_app` gives the FastAPI application.

Every request first passes `guard.py` (host, origin, token, size). The routes are in `jobs.py`, `event_streams.py`,
`articles.py`, `revisions.py`, `libraries.py` and `status.py`; only `problems.py` turns errors into answers. Endpoints
are plain functions in threads, except for the asynchronous event streams.
"""
