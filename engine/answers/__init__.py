"""What results say: explanations, interactions, claims on trial, advice, red flags. Reads records; measures nothing, imports no torch."""
