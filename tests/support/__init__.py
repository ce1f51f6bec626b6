"""What the tests share: fakes, sample data, the reference implementation."""
