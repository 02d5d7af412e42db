"""Figures, pages and tables; needs the extra `report`."""
