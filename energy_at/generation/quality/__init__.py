"""How good samples are: torch-fidelity's metrics, and what an independent classifier and the training images say."""
