"""The order of the steps: LangGraph graphs, and the wiring of their parts."""
