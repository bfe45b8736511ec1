"""Language models measured on the test rows: what they write, and how well they predict what stands there."""
