"""An agent with a memory: an environment that needs one, a recurrent policy, and how it is trained."""
