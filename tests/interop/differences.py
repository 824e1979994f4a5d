"""The differences between the backends behind Sluice and behind the Go Collector that are meant. DIFFERENCES.md explains each."""


def compare(upstream, sluice):
    for part in ("otlp", "series", "exemplars"):
        only_upstream = [line for line in upstream[part] if line not in sluice[part]]
        only_sluice = [line for line in sluice[part] if line not in upstream[part]]
        yield f"the same {part}", not only_upstream and not only_sluice, (
            "\nGO " + "\nGO ".join(map(str, only_upstream)) + "\nSLUICE " + "\nSLUICE ".join(map(str, only_sluice))
        )
