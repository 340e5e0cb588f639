"""The networks, and how gradient descent trains them: step by step (`descend`) or to the limit (`flow_limit`)."""
