"""The numbers that the paper prints, and nothing else: arXiv 2012.01509, tables 1 to 5.

Accuracies in percent. Multiplications of table 1 are `model.measure.multiplications.PRINTED`.
Compared with, never computed with.
"""

__all__ = ["SETTINGS", "TABLE1", "TABLE2", "TABLE3", "TABLE4", "TABLE5"]

#: What each network was trained on (CIFAR-FS in table 4).
SETTINGS = {"resnet18": "cifar10", "resnet50": "cifar100"}


def columns(rows: dict) -> dict[str, dict]:
    """{row: (ResNet-18, ResNet-50)} to {network: {row: accuracy}}."""
    return {
        name: {key: pair[index] for key, pair in rows.items()}
        for index, name in enumerate(SETTINGS)
    }


#: {network: {ℓ: accuracy}}
TABLE1: dict[str, dict[int, float]] = columns(
    {
        1: (95.21, 78.50),
        2: (95.25, 79.23),
        4: (94.65, 76.58),
        8: (92.95, 70.46),
        16: (88.95, 64.36),
        32: (84.90, 61.07),
        64: (78.28, 53.05),
    }
)

#: {network: {c: accuracy}}
TABLE2: dict[str, dict[int, float]] = columns(
    {
        1: (59.73, 13.39),
        2: (70.69, 26.34),
        4: (81.04, 41.84),
        8: (87.38, 55.27),
        16: (91.09, 62.01),
        32: (94.00, 65.89),
        64: (94.91, 71.87),
    }
)

#: {network: {(ℓ, t_init, t_final): accuracy}}
TABLE3: dict[str, dict[tuple[int, float, float], float]] = columns(
    {
        (2, 0.1, 100): (94.56, 74.19),
        (2, 1, 100): (95.01, 78.17),
        (2, 10, 100): (95.24, 79.30),
        (2, 0.1, 1000): (94.81, 77.93),
        (2, 1, 1000): (95.25, 78.81),
        (2, 10, 1000): (95.25, 79.23),
        (2, 0.1, 10000): (95.07, 78.28),
        (2, 1, 10000): (95.11, 78.89),
        (2, 10, 10000): (95.13, 78.88),
        (4, 0.1, 100): (90.35, 53.00),
        (4, 1, 100): (93.65, 66.27),
        (4, 10, 100): (94.65, 76.80),
        (4, 0.1, 1000): (94.02, 74.61),
        (4, 1, 1000): (94.72, 76.56),
        (4, 10, 1000): (94.65, 76.58),
        (4, 0.1, 10000): (94.49, 76.16),
        (4, 1, 10000): (94.74, 76.73),
        (4, 10, 10000): (94.73, 76.89),
    }
)

#: {network: {ℓ: accuracy}}: CIFAR-FS, 5 ways, 5 shots; printed with ± 0.13 to 0.17.
TABLE4: dict[str, dict[int, float]] = columns(
    {
        1: (82.74, 83.94),
        2: (83.78, 85.44),
        4: (84.21, 84.83),
        8: (81.87, 82.43),
        16: (78.63, 77.93),
        32: (72.09, 76.40),
        64: (63.69, 70.15),
    }
)

#: {ℓ: {noise: accuracy}}: ResNet-18, CIFAR-10, mean over five severities.
TABLE5: dict[int, dict[str, float]] = {
    group_size: dict(zip(("clean", "gaussian", "shot", "impulse"), row, strict=True))
    for group_size, row in {
        1: (95.21, 46.40, 59.50, 51.75),
        2: (95.25, 47.59, 60.21, 53.45),
        4: (94.65, 49.98, 61.99, 52.33),
        8: (92.95, 46.34, 58.07, 53.54),
        16: (88.95, 50.51, 60.26, 48.95),
        32: (84.90, 56.56, 64.34, 54.78),
        64: (78.28, 48.72, 55.60, 40.03),
    }.items()
}
