"""Campaigns: phases played on a target and judged, alone, in processes or on a cluster; what they found."""
