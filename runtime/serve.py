"""`python -m runtime.serve`: the dashboard, by the name that units have for it."""

from cli.workers import serve

if __name__ == "__main__":
    serve(prog_name="python -m runtime.serve")
