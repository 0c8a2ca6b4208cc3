"""
Campaigns: real store processes under load and faults, judged by what their clients observed.
"""
