"""HTTP over jobs and libraries: `create_app` gives the FastAPI application.

What every request passes first is in `guard.py` (host, origin, token, size); what it asks for is in `jobs.py`,
`events.py`, `articles.py`, `libraries.py` and `status.py`; errors become answers in `problems.py` alone. Endpoints are
plain functions in threads; only the event streams are asynchronous.
"""
