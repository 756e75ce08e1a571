"""Systems of the same family, built on the layers below.

Token-budget routing (:mod:`.port`) and QoS-aware edge routing (:mod:`.qos`).
"""
