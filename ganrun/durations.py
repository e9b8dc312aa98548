"""Seconds, as people read them."""


def clock(seconds: float) -> str:
    """Hours, minutes and seconds as 1:02:03 or 2:03."""
    if seconds == float("inf"):
        return "?"
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02d}:{s:02d}" if hours else f"{m}:{s:02d}"
