"""The families of models: what each role asks them."""
