"""ganrun: trains, scores, samples and compares generative adversarial networks."""

__version__ = "0.1.0"
