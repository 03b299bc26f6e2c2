"""Review points: the questions, the answers, and the nodes that wait for a person."""
