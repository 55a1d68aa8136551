"""The same operations in OpenCL, in the idiom of FPGAs, bit for bit: ``fpga/README.md`` says on what."""
