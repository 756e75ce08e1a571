"""Systems of the same family, built on the layers below: token-budget routing (:mod:`.port`)."""
