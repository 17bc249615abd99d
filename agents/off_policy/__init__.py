"""Learning from logged decisions: logs, off-policy estimators, the counterfactual policy."""
