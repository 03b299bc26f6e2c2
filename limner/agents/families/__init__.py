"""The families of models, and how each role asks them."""
