"""`python -m runtime.serve`: the dashboard, as service units start it."""

from cli.workers import serve

if __name__ == "__main__":
    serve(prog_name="python -m runtime.serve")
