"""The bus: registers, memory windows, UART, and the bridge between them."""
