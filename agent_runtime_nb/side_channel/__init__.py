"""Stop and approvals while a cell blocks the kernel: HTTP beside the widget channel.

While a cell runs, no message of a widget gets into the kernel, on most kernels; what the
widget sends gets out all the same. So a page is given a ticket for one conversation, and
sends what is urgent to the runtime's HTTP server with it. This is an authentication
surface: whatever lets a page in is in this package, and nothing else is.

tickets.py  what a ticket permits, and for how long
channel.py  which server a page may use, and notice when it starts or stops
"""
