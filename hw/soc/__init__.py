"""The system on chip: processor, flash, byte stream and DMA around the device."""
