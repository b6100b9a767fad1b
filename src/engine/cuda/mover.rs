//! Replicas that move on the device: the arrays of `kernels/motion.cu`, and steps that need no host.

use std::fmt::Write;
use std::sync::Arc;

use super::device::{Array, Batch, Device, Kernel, Launch, Plain, words_of};
use super::list_system::Status;
use super::motion_system::MotionSystem;
use super::unlisted::Verdict;
use super::{CudaEngine, CudaReal};
use crate::engine::{Motion, Moved, Unlisted, Wanted};
use crate::{Error, Result};

/// Threads of a block.
const THREADS: u32 = 128;
const FORCES: Wanted = Wanted {
    forces: true,
    virials: false,
    atom_virials: false,
};

/// The kernels of replicas that move, as [`Device::load`] gets them.
pub fn motion_program() -> String {
    let mut text = String::from("// Written by src/engine/cuda/mover.rs.\n");
    let _ = writeln!(text, "constexpr int MOTION_THREADS = {THREADS};");
    for (name, content) in [
        ("launch.cuh", include_str!("../../../kernels/launch.cuh")),
        ("status.cuh", include_str!("../../../kernels/status.cuh")),
        ("motion.cu", include_str!("../../../kernels/motion.cu")),
    ] {
        let _ = write!(text, "#line 1 \"kernels/{name}\"\n{content}");
    }
    text
}

/// What is kept on the device of replicas that move, beside their positions.
pub(super) struct Mover {
    program: usize,
    velocities: Array,
    forces: Array,
    clock: Array,
    response: Kept<f64>,
    thermal: Kept<f64>,
    streams: Kept<u32>,
    frozen: Kept<u8>,
}

/// An array that is brought to the device when it has changed.
struct Kept<T> {
    array: Array,
    values: Vec<T>,
}

impl<T: Plain + PartialEq> Kept<T> {
    fn new(device: &Arc<dyn Device>) -> Self {
        Self {
            array: Array::new(device),
            values: Vec::new(),
        }
    }

    fn set(&mut self, values: &[T]) -> Result<u64> {
        if self.values != values {
            self.values.clear();
            self.array.set(values)?;
            self.values.extend_from_slice(values);
        }
        Ok(self.array.address())
    }
}

impl Mover {
    fn new(device: &Arc<dyn Device>) -> Result<Self> {
        let kernels = [Kernel::Leap, Kernel::Kick];
        Ok(Self {
            program: device.load(&motion_program(), &kernels.map(|kernel| (kernel, 0)))?,
            velocities: Array::new(device),
            forces: Array::new(device),
            clock: Array::new(device),
            response: Kept::new(device),
            thermal: Kept::new(device),
            streams: Kept::new(device),
            frozen: Kept::new(device),
        })
    }

    /// Brings replicas to the device as they are.
    fn bring(&mut self, motion: &Motion) -> Result<MotionSystem> {
        let frozen: Vec<u8> = motion.frozen.iter().map(|&still| u8::from(still)).collect();
        let [kept, fresh] = motion.langevin.unwrap_or([1.0, 0.0]);
        Ok(MotionSystem {
            velocities: self.velocities.set(motion.velocities)?,
            forces: self.forces.set(motion.forces)?,
            clock: self.clock.set(&[motion.step])?,
            response: self.response.set(motion.response)?,
            thermal: self.thermal.set(motion.thermal)?,
            streams: self.streams.set(motion.streams)?,
            frozen: self.frozen.set(&frozen)?,
            timestep: motion.timestep,
            kept,
            fresh,
            farthest2: motion.largest_step * motion.largest_step,
            seed: [motion.seed as u32, (motion.seed >> 32) as u32],
            atoms: motion.velocities.len() as u32,
            langevin: u32::from(motion.langevin.is_some()),
            ..MotionSystem::default()
        })
    }

    fn launch(&self, kernel: Kernel, elements: u32) -> Launch {
        Launch {
            program: self.program,
            kernel,
            grid: (elements.div_ceil(THREADS), 1),
            threads: THREADS,
            shared: 0,
        }
    }
}

impl<T: CudaReal> CudaEngine<T> {
    /// Makes steps, one batch each, without looking at anything before the last; returns how many lists were found.
    pub(super) fn advance_in(
        &mut self,
        start: &Unlisted,
        motion: &Motion,
        steps: u64,
        moved: &mut Moved,
    ) -> Result<u64> {
        if self.mover.is_none() {
            self.mover = Some(Mover::new(&self.device)?);
        }
        self.work.set_types(start.types)?;
        let mut found = 0;
        loop {
            // From the beginning, also where a list had no room.
            let (last, energies) = self.whole_step(start, motion)?;
            // Nobody asks for energies of structures in between.
            let mut others = last.clone();
            others.retain(|kernel| ![Kernel::Total, Kernel::Tally].contains(&kernel));
            for _ in 1..steps {
                self.device.run(&others)?;
            }
            self.device.run(&last)?;
            let status = self.fetch_moved(start, energies, moved)?;
            let own = self.unlisting()?;
            found += status.builds - own.builds;
            own.builds = status.builds;
            let verdict = own.settle(status)?;
            if !matches!(verdict, Verdict::Again) {
                let terms = start.terms.map(|chosen| chosen.terms);
                self.explain(&verdict, terms)?;
                return check_energies(&moved.energies).map(|()| found);
            }
        }
    }

    /// Brings everything to the device; returns the launches of a step, and the place of energies among the results.
    fn whole_step(&mut self, start: &Unlisted, motion: &Motion) -> Result<(Batch, usize)> {
        let cutoff = self.cutoff()?;
        let types = self.work.types.address();
        let own = self.unlisting()?;
        own.ready = None;
        let (problem, arrays) = own.bring(start, cutoff)?;
        let (mut run, arrays) = self.prepare(problem, arrays, types, FORCES)?;
        self.step(&mut run, FORCES, None)?;
        if let Some(chosen) = &start.terms {
            self.add_chosen(&mut run, &arrays, chosen)?;
        }
        let mover = mover(&mut self.mover)?;
        let system = MotionSystem {
            positions: arrays.positions,
            structure: arrays.structure,
            structures: arrays.structures,
            new_forces: run.system.forces,
            atom_energies: run.system.atom_energies,
            coincident: run.system.coincident,
            status: arrays.status,
            ..mover.bring(motion)?
        };
        let mut batch = Batch::default();
        batch.with(&words_of(&system));
        batch.add(mover.launch(Kernel::Leap, system.atoms), 0);
        batch.append(run.batch);
        batch.with(&words_of(&system));
        batch.add(mover.launch(Kernel::Kick, system.atoms), 0);
        let energies = (run.system.energies - run.system.coincident) as usize / size_of::<f64>();
        Ok((batch, energies))
    }

    /// Brings back where replicas are, and how the list is.
    fn fetch_moved(
        &mut self,
        start: &Unlisted,
        energies: usize,
        moved: &mut Moved,
    ) -> Result<Status> {
        let (atoms, structures) = (start.positions.len(), start.structures.len() - 1);
        for rows in [
            &mut moved.positions,
            &mut moved.velocities,
            &mut moved.forces,
        ] {
            rows.resize(atoms, [0.0; 3]);
        }
        moved.energies.resize(structures, 0.0);
        let mut status = [Status::default()];
        let mover = mover(&mut self.mover)?;
        let own = self.unlisting.as_ref();
        let own = own.ok_or_else(|| Error::Internal("no neighbour lists".into()))?;
        let mut parts = vec![
            own.part(&mut moved.positions),
            mover.velocities.part(&mut moved.velocities),
            mover.forces.part(&mut moved.forces),
            self.work.results.part_from(energies, &mut moved.energies),
            own.finder.part(&mut status),
        ];
        match self.terms.as_ref().filter(|_| start.terms.is_some()) {
            Some(own) => {
                moved.terms.resize(structures * own.width(), 0.0);
                parts.push(own.part(&mut moved.terms));
                self.device.download_all(&mut parts)?;
            }
            None => {
                self.device.download_all(&mut parts)?;
                moved.terms.clone_from(&moved.energies);
            }
        }
        Ok(status[0])
    }
}

fn check_energies(energies: &[f64]) -> Result<()> {
    let wrong = energies.iter().position(|energy| !energy.is_finite());
    wrong.map_or(Ok(()), |replica| {
        let reason = format!("energy of structure {replica} is not finite");
        Err(Error::Numerical(reason))
    })
}

fn mover(mover: &mut Option<Mover>) -> Result<&mut Mover> {
    mover
        .as_mut()
        .ok_or_else(|| Error::Internal("nothing moves".into()))
}
