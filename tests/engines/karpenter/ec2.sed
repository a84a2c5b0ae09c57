# What is changed in the instances that Karpenter's kwok program simulates: they join after 3 seconds in place of 30.
s/After(30 \* time.Second)/After(3 * time.Second)/
