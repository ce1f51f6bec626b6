"""What is measured from inside the stack's network, in a container of the job's image: `bench.guest` runs these
modules there. They import nothing but that image's packages and the job's own code."""
