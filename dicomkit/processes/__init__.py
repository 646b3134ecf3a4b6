"""The inside of a process that computes for another one, with whatever a hostile file does to it.

:mod:`~dicomkit.processes.worker` runs in the process, :mod:`~dicomkit.processes.messages` is what both sides say.
What is computed is a module's own; the pool of such processes is :mod:`dicomkit.engine.services.worker_pool`.
"""
