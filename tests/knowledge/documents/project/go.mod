module example.org/silt

go 1.21
