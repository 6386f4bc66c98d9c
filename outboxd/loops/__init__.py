"""What runs by itself. Loops never call each other: they meet in Postgres, and wake each other."""
