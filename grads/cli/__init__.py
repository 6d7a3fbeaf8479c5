"""The command line, one module a command. Nothing heavy is imported before a command runs."""


def main() -> None:
    """Run the command line: what the installed command `grads` calls."""
    from grads.cli.main import main as run

    run()
