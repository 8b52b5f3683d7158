"""What leaves the product as files for other programs: tables, and the formats that they are written in."""
